"""Servers on paper: events in the order of their times, from one server and its caller to a fleet behind a balancer.

Times are seconds of the simulation. What a step takes comes from a real server (`fitting`), and the simulation of one
machine is held against that machine (`benchmarks/tail.py`) before anything is concluded for many.
"""
