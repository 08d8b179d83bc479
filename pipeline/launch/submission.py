"""What to run where: the one model that each launcher turns into a script, a job or a manifest."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from widesweep.pipeline.errors import ClusterError, InputError

if TYPE_CHECKING:
    from widesweep.pipeline.config.sweep_config import SweepFile

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d{1,2}){0,2})")


@dataclass(frozen=True)
class Resources:
    """The resources that a launcher requests.

    Attributes:
        nodes: machines, at least one.
        gpus_per_node: GPUs of each.
        cpus_per_node: cores of each; None: all that it has, or the launcher's default.
        time_limit: as Slurm writes it: minutes, [hours:]minutes:seconds or days-hours[:minutes[:seconds]].
    """

    nodes: int = 1
    gpus_per_node: int = 0
    cpus_per_node: int | None = None
    time_limit: str | None = None

    def __post_init__(self) -> None:
        """Refuses a time that no scheduler could read."""
        if self.time_limit is not None and not self.time_limit_s:
            wanted = "a time is minutes, hours:minutes:seconds or days-hours:minutes:seconds"
            raise InputError("--time", f"{self.time_limit} is no time", wanted)

    @property
    def time_limit_s(self) -> int | None:
        """The limit in seconds.

        >>> [Resources(time_limit=text).time_limit_s for text in ("90", "1:30:00", "30:00", "1-0", "1-2:30")]
        [5400, 5400, 1800, 86400, 95400]
        """
        if self.time_limit is None:
            return None
        match = _TIME.fullmatch(self.time_limit)
        if match is None:
            return 0
        parts = [int(part) for part in match["clock"].split(":")]
        if match["days"] is not None:  # hours come first after days
            hours, minutes, seconds = parts + [0] * (3 - len(parts))
            return ((int(match["days"]) * 24 + hours) * 60 + minutes) * 60 + seconds
        if len(parts) == 1:
            return parts[0] * 60
        hours, minutes, seconds = [0] * (3 - len(parts)) + parts
        return (hours * 60 + minutes) * 60 + seconds


@dataclass(frozen=True)
class Job:
    """A sweep on its way to a cluster.

    Attributes:
        name: short, of a-z, 0-9 and hyphens: every scheduler takes it.
        config: the config's file, absolute.
        settings: `--set` assignments.
        store: address of the store, as the cluster's machines see it.
        resources: what it asks for.
    """

    name: str
    config: Path
    settings: tuple[str, ...]
    store: str
    resources: Resources

    def commands(self, program: Sequence[str], config: str) -> dict[str, str]:
        """Shell lines of the sweep's steps, for a widesweep started by `program` and a config at `config`."""
        assignments = [word for setting in self.settings for word in ("--set", setting)]
        steps = {
            "run": ["run", config, *assignments, "--store", self.store],
            "analyze": ["analyze", self.store],
            "report": ["report", self.store],
            "status": ["status", self.store, "--json"],
        }
        return {name: shlex.join([*program, *words]) for name, words in steps.items()}

    def shell_line(self, program: Sequence[str], config: str) -> str:
        """One line that runs, analyses and reports; exits like the run, or with 1 if a later step fails."""
        step = self.commands(program, config)
        after = f"[ $code -le 1 ] && {{ {step['analyze']} && {step['report']} || exit 1; }}"
        return f"{step['run']}; code=$?; {after}; exit $code"


def make_job(
    config: Path, settings: Sequence[str] | None, store: str | None, resources: Resources
) -> tuple[Job, SweepFile]:
    """Checks a config as `run` would, so that errors appear here and not in a queue.

    Raises:
        InputError: config, settings or resources are wrong; nothing was submitted.
    """
    from widesweep.pipeline.config import sweep_config as configs
    from widesweep.pipeline.plan import data

    sweep = configs.load(config, settings or ())
    data.data_dimensions(sweep)
    url = store or sweep.config.store
    return Job(slug(sweep.config.name), config.resolve(), tuple(settings or ()), url, resources), sweep


def slug(name: str) -> str:
    """A sweep's name as schedulers accept it: at most 40 of a-z, 0-9 and inner hyphens, a letter first.

    >>> slug("Digits, two layers"), slug("2024")
    ('digits-two-layers', 'sweep-2024')
    """
    short = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return (short if short[:1].isalpha() else f"sweep-{short}")[:40].strip("-")


def absolute_on_cluster(job: Job) -> None:
    """Refuses a relative store where the working folder is one machine's own.

    Raises:
        InputError: names the option that helps.
    """
    if "://" not in job.store and not job.store.startswith("/"):
        wanted = "on a cluster --store is an address (s3://…) or an absolute path that all its machines share"
        raise InputError("--store", f"{job.store} is relative", wanted, "Nothing was submitted.")


def program(name: str, hint: str) -> str:
    """Path of a scheduler's own command.

    Raises:
        InputError: it is not installed here.
    """
    found = shutil.which(name)
    if found is None:
        raise InputError(name, "it is not on this machine", hint, "--dry-run prints what would be submitted.")
    return found


def rendered(template: str, **values: object) -> str:
    """A template of this folder with its values, `quote` being a shell's, `quote_line` one within a comment.

    Raises:
        InputError: a value for a comment has a line break, after which a shell would run what follows.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["quote"] = shlex.quote
    environment.filters["quote_line"] = _quoted_in_a_line
    return environment.get_template(template).render(**values)


def _quoted_in_a_line(text: str) -> str:
    if not text.isprintable():
        wanted = "a scheduler's directive is one line of printable characters"
        raise InputError("submit", f"{text!r} is not", wanted, "Nothing was submitted.")
    return shlex.quote(text)


def hand_over(command: Sequence[str], text: str) -> str:
    """Passes a text to a scheduler's command and returns its output.

    Raises:
        ClusterError: the scheduler refused.
    """
    done = subprocess.run(list(command), input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        reason = " ".join(done.stderr.split())[:300] or f"exit code {done.returncode}"
        help_ = "Nothing was submitted; --dry-run prints what was sent."
        raise RefusedError(f"{Path(command[0]).name} refused: {reason}\n{help_}")
    return done.stdout.strip()


class RefusedError(ClusterError):
    """A scheduler did not take a job, or a cluster lost it."""

    exit_code = 1

    def __str__(self) -> str:
        """What happened, and the next step."""
        return str(self.args[0])
