"""Test error as a function of the number of samples."""
