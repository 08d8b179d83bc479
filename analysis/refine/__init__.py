"""Where more cells would tighten a law most: variances, forecasts of intervals, designs, obstacles."""
