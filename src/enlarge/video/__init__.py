"""One video: its frames through the tiles of the picture pipeline, all other streams copied.

    facts, containers, outlook    values: what a video is, what a file can hold, the forecast
    reading, colour               file → frames (height, width, RGB), with their times
    enlarging                     frame → enlarged frame; tiles that did not change are reused
    encoding, segments            enlarged frames → closed groups of pictures, kept on the disk
    muxing                        segments and the other streams → file
    run                           all of that for one file
    python                        the functions for Python

PyAV, of the extra `[video]`, is imported where a video is opened, and never for a picture.
"""
