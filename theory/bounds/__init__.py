"""Inequalities that a run in their regime must respect."""
