"""A store, opened with xarray and reduced to what laws look at."""
