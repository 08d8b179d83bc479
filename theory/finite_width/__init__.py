"""Corrections at finite width: cumulants and fluctuations of random networks."""
