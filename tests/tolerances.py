"""The project's tiers of agreement, in one place (what each means stands in CONTRIBUTING.md)."""

EXACT = 1e-10  # float64 against another route in float64
FLOAT32 = 1e-4  # float32 against float64, unless a conditioning bound is stated
MONTE_CARLO_SE = 5.0  # standard errors, at a fixed seed and a fixed number of draws
