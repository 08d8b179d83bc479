"""The Zarr hierarchy: its layout, its writers and its readers."""
