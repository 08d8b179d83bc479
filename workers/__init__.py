"""Workers measure: one block of cells in, one `xarray.Dataset` out, on any device.

Nothing here writes a file or knows of Ray; `pipeline` schedules these functions and stores what they return.
"""
