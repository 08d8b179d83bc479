"""What each command does in a few words, and lines to copy at the end of its help."""

from __future__ import annotations

SHORT = {  # what the list of commands has room for
    "init": "Write a commented config to start from.",
    "config": "Print the resolved config.",
    "plan": "Forecast size, memory and time.",
    "theory": "Print what theory predicts.",
    "run": "Run a sweep, or resume it.",
    "status": "Show how far a sweep is.",
    "list": "List the sweeps of a folder or a bucket.",
    "analyze": "Fit the laws and store the verdicts.",
    "report": "Write a page with all figures.",
    "compare": "Put two sweeps' laws side by side.",
    "export": "Write CSV, NetCDF or Parquet.",
    "refine": "Add the cells that narrow an interval most.",
    "gallery": "Regenerate published results.",
}
EXAMPLES = {
    "plan": (
        "widesweep plan configs/demo.yaml",
        "widesweep plan configs/demo.yaml --set grid.seed=64 --gpus 4",
    ),
    "run": (
        "widesweep run configs/demo.yaml",
        "widesweep run configs/demo.yaml --set grid.width=[128,256] --store results/narrow.zarr",
        "widesweep run configs/demo.yaml --store s3://bucket/demo.zarr --address auto",
    ),
    "status": ("widesweep status results/demo.zarr", "widesweep status results/demo.zarr --watch"),
    "theory": ("widesweep theory configs/demo.yaml", "widesweep theory configs/demo.yaml --json"),
    "analyze": (
        "widesweep analyze results/demo.zarr",
        "widesweep analyze results/demo.zarr --law my_lab:MyLaw",
        "widesweep analyze s3://bucket/demo.zarr --scheduler tcp://host:8786",
    ),
    "refine": (
        "widesweep refine results/demo.zarr --law weight_drift --interval 0.05 --dry-run",
        "widesweep refine results/demo.zarr --budget 30m",
    ),
    "gallery": ("widesweep gallery", "widesweep gallery du-neurons --small"),
    "report": ("widesweep report results/demo.zarr", "widesweep report results/demo.zarr --watch"),
    "init": ("widesweep init", "widesweep init --list", "widesweep init demo --output mine.yaml"),
    "config": ("widesweep config configs/demo.yaml --set grid.seed=4",),
    "list": ("widesweep list results", "widesweep list s3://bucket/sweeps --json"),
    "compare": ("widesweep compare results/demo.zarr results/mup.zarr",),
    "export": (
        "widesweep export results/demo.zarr --to csv",
        "widesweep export s3://bucket/demo.zarr --to netcdf --output demo.nc",
    ),
}


def epilogue(name: str) -> str | None:
    """A command's examples as the end of its help, which the help's formatter leaves as it is.

    >>> epilogue("config")
    '\\x08\\nExamples:\\n  widesweep config configs/demo.yaml --set grid.seed=4'
    """
    lines = EXAMPLES.get(name, ())
    return "\n".join(["\b\nExamples:", *(f"  {line}" for line in lines)]) if lines else None
