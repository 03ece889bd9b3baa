"""Training by several processes, on one machine or on several.

    processes   starts and watches the processes on this machine
    joining     how a process finds the others
    group       what processes say and send to each other
    placement   where batches and tables lie: Keras' distribution over all devices
    shared_rows each process holds a part of the rows, and fetches those of its batches
    checkpoints process 0 writes and reads them for all
    leading     what process 0 tells the others of each fit
    following   what the others do

A step is one program over all devices, with one batch that is split between them, the same batch that one process would
have. So the result is that of one process, but for the order in which devices' sums are added.
"""
