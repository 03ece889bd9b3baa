"""The server as replicas of Ray Serve, behind Ray's own gRPC proxy.

app_settings.py     what an application is given, and how a replica runs with it
application.py      the application, as Ray deploys it
replica.py          one replica: the methods that Ray calls, and its health
replica_server.py   the server inside: everything but a port
transport.py        from Ray's calls to the handlers of the services, and back
call_context.py     a call of Ray's, as handlers of grpcio see calls
methods.py          every method of every service
proxy_services.py   runs in Ray's proxy: which methods it takes
exported_metrics.py ours as Ray's
options.py          the options of `rankserve serve --engine ray`
running.py          what that command does
"""
