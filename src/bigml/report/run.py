"""Run: what happened, in a directory that a killed run goes on from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bigml.errors import ConfigError, SourceError
from bigml.graph.plan import Plan
from bigml.report import artefacts
from bigml.report.journal import Journal, events
from bigml.report.values import dumps, to_json
from bigml.sources.atomic import TEMPORARY, AtomicFile, disk

if TYPE_CHECKING:
    from distributed import Client

STAGE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
LIBRARIES = ("bigml", "dask", "distributed", "keras", "numpy", "pandas", "pyarrow", "scikit-learn", "tensorflow")


class Config(Protocol):
    """What a pydantic model can do that a run needs."""

    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


class Run:
    """A directory with a journal, config.json, log.txt, metrics.json and the results of all finished stages.

    `stage` does a piece of work once: in a resumed run a finished stage is read from the disk instead, and what a stage
    gives is always what was read back, so a resumed run sees the same bits as one that never stopped.

    Attributes:
        path: The directory.
        name: The pipeline.
        seed: The root of every random choice.
        client: A `distributed.Client`, or None for threads of this process.

    >>> with Run.create("example", {"rows": 3}, seed=7, root="runs") as run:
    ...     run.stage("total", sum, [1, 2, 3])
    6
    """

    def __init__(self, path: Path, *, client: Client | None = None, echo: Callable[[str], None] | None = None) -> None:
        about = _read_about(path)
        self.path, self.client = path, client
        self.name: str = about["pipeline"]
        self.seed: int = about["seed"]
        self.config: dict[str, Any] = about["config"]
        self.versions: dict[str, str] = about["versions"]
        self._echo = echo
        self._journal = Journal(path / "journal.jsonl")
        self._finished = {event["stage"]: event for event in events(self._journal.path) if event["event"] == "stage_finished"}
        self._seen: dict[str, float] = {}
        self._metrics: dict[str, Any] = _read_metrics(path)
        self._begun = time.monotonic()

    @classmethod
    def create(
        cls,
        name: str,
        config: Config | Mapping[str, Any],
        *,
        seed: int = 0,
        root: str | Path = "runs",
        client: Client | None = None,
        echo: Callable[[str], None] | None = None,
    ) -> Run:
        """A new run in a new directory `<root>/<name>-<UTC time>-<id>/`.

        Args:
            name: The pipeline: lower-case letters, digits, `_` and `-`.
            config: A pydantic model, or a mapping of what JSON can hold.
            echo: Called with each line of the log.

        Raises:
            ConfigError: The name is not usable as a folder.
            WriteError: The directory cannot be written.
        """
        _check_name(name, "a pipeline's name")
        path = Path(root) / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        about = {"pipeline": name, "seed": seed, "config": _plain(config), "versions": _versions()}
        with disk(path):
            path.mkdir(parents=True)
        _write_text(path / "config.json", dumps(about))
        run = cls(path, client=client, echo=echo)
        run._journal.append("run_started", pipeline=name, seed=seed)
        return run

    @classmethod
    def resume(
        cls,
        path: str | Path,
        config: Config | Mapping[str, Any] | None = None,
        *,
        seed: int | None = None,
        client: Client | None = None,
        echo: Callable[[str], None] | None = None,
    ) -> Run:
        """Go on with a run that ended early; its finished stages are read, not repeated.

        Raises:
            ConfigError: It is no run, another process works on it, or `config` or `seed` is given and differs from its own.
        """
        run = cls(Path(path), client=client, echo=echo)
        try:
            _check_unchanged({"seed": run.seed}, {"seed": run.seed if seed is None else seed}, run.path)
            _check_unchanged(run.config, run.config if config is None else _plain(config), run.path)
            _remove_orphans(run.path)
            run._journal.append("run_resumed", finished=sorted(run._finished))
        except BaseException:
            run.close()
            raise
        return run

    @staticmethod
    def newest_unfinished(name: str, root: str | Path = "runs") -> Path:
        """The directory of the newest run of a pipeline that did not end well.

        Raises:
            ConfigError: There is none.
        """
        for journal in sorted(Path(root).glob(f"{name}-*/journal.jsonl"), reverse=True):
            history = events(journal)
            if history and history[0].get("pipeline") == name and all(event["event"] != "run_finished" for event in history):
                return journal.parent
        raise ConfigError(
            f"an unfinished run of `{name}`", got="none", where=str(root), do="Leave --resume out to start a new run."
        )

    def stage(
        self,
        name: str,
        work: Callable[..., Any] | Plan[Any],
        *args: Any,
        key: Any = None,
        checkpoint: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The result of `work(*args, **kwargs)`, done once and kept; of a Plan, its computed result.

        Args:
            name: Unique in the run; the result is stored under `artefacts/<name>/`.
            key: What the result depends on beyond config, seed, and the plans and sources among the arguments.
            checkpoint: Also pass `checkpoint=`, a directory in which the work may keep what it needs to go on after a kill.

        Raises:
            ConfigError: The name is taken, or the stage was finished with other inputs.
            DataError: The result is of a type that cannot be stored.
        """
        _check_name(name, "a stage's name")
        if name in self._seen:
            raise ConfigError("a name for each stage", got=f"`{name}` twice", do="Rename one of them.")
        inputs = self._inputs(name, key, (work, *args, *kwargs.values()))
        if name in self._finished:
            return self._stored(name, inputs)
        if checkpoint:
            kwargs["checkpoint"] = self._checkpoint(name)
        if isinstance(work, Plan):
            kwargs.setdefault("client", self.client)
            work = work.compute
        return self._carry_out(name, inputs, lambda: work(*args, **kwargs))

    def _carry_out(self, name: str, inputs: str, work: Callable[[], Any]) -> Any:
        self._journal.append("stage_started", stage=name, inputs=inputs)
        self.log(f"{name} ...")
        begun = time.monotonic()
        try:
            artefacts.save(work(), self.path / "artefacts" / name)
            result = artefacts.load(self.path / "artefacts" / name)
        except BaseException as error:
            self._journal.append("stage_failed", stage=name, error=f"{type(error).__name__}: {error}"[:2000])
            raise
        self._seen[name] = round(time.monotonic() - begun, 3)
        self._journal.append("stage_finished", stage=name, inputs=inputs, seconds=self._seen[name])
        self.log(f"{name} done in {self._seen[name]:.1f} s")
        return result

    def _stored(self, name: str, inputs: str) -> Any:
        event = self._finished[name]
        if event["inputs"] != inputs:
            raise ConfigError(
                f"stage `{name}` to have the inputs that it was finished with",
                got="others: its key, plans or sources changed",
                where=str(self.path),
                do="Start a new run without --resume.",
            )
        result = artefacts.load(self.path / "artefacts" / name)
        self._seen[name] = event["seconds"]
        self.log(f"{name} was done before")
        return result

    def _checkpoint(self, name: str) -> Path:
        path = self.path / "checkpoints" / name
        with disk(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def _inputs(self, name: str, key: Any, values: tuple[Any, ...]) -> str:
        """A hash of everything that the stage's result depends on, as far as it was told."""
        readers = [value.reader if isinstance(value, Plan) else value for value in values]
        tokens = [reader.token for reader in readers if isinstance(getattr(reader, "token", None), str)]
        key = key.token if isinstance(getattr(key, "token", None), str) else key
        text = json.dumps([name, to_json(key), tokens, self.config, self.seed])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def timings(self) -> dict[str, float]:
        """Seconds of each stage so far, in the order in which this process came to them."""
        return dict(self._seen)

    @property
    def recorded_metrics(self) -> dict[str, Any]:
        """What `metrics` was told so far."""
        return dict(self._metrics)

    def log(self, text: str) -> None:
        """Append a line with the time to log.txt, and echo it."""
        self._write_down(text)
        if self._echo:
            self._echo(text)

    def _write_down(self, text: str) -> None:
        with disk(self.path / "log.txt"), (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")

    def metrics(self, **values: Any) -> None:
        """Add figures to metrics.json; what is not finite becomes null there."""
        self._metrics |= values
        _write_text(self.path / "metrics.json", dumps(self._metrics))

    def close(self) -> None:
        """Give the directory free without saying that the run has ended; `with` does that."""
        self._journal.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        seconds = round(time.monotonic() - self._begun, 3)
        if error is None:
            self._journal.append("run_finished", seconds=seconds)
        else:
            cause = f"{type(error).__name__}: {error}"[:2000]
            self._journal.append("run_failed", seconds=seconds, error=cause)
            self._write_down(f"failed: {cause}")
        self.close()

    def __repr__(self) -> str:
        return f"Run({self.name}, {self.path}, {len(self._seen)} stages done)"


def stored_config(path: str | Path) -> dict[str, Any]:
    """The config of the run in a directory, as it was told when the run was started.

    Raises:
        ConfigError: It is no run.
    """
    return dict(_read_about(Path(path))["config"])


def _check_name(name: str, what: str) -> None:
    if not STAGE_NAME.fullmatch(name):
        raise ConfigError(f"{what} of lower-case letters, digits, `_` and `-`", got=repr(name))


def _plain(config: Config | Mapping[str, Any]) -> dict[str, Any]:
    values = dict(config) if isinstance(config, Mapping) else config.model_dump(mode="json")
    try:
        plain: dict[str, Any] = json.loads(json.dumps(values))
    except (TypeError, ValueError) as error:
        raise ConfigError("a config of what JSON can hold", got=str(error)) from None
    return plain


def _check_unchanged(stored: Mapping[str, Any], given: Mapping[str, Any], path: Path) -> None:
    changed = [name for name in {**stored, **given} if stored.get(name) != given.get(name)]
    if changed:
        name = changed[0]
        raise ConfigError(
            f"`{name}` to be {json.dumps(stored.get(name))} as when the run was started",
            got=json.dumps(given.get(name)),
            where=str(path),
            do="Resume with the same options, or start a new run without --resume.",
        )


def _read_about(path: Path) -> dict[str, Any]:
    try:
        about = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            "the directory of a run", got=str(error), where=str(path), do="Give the folder with config.json."
        ) from None
    if not isinstance(about, dict) or not {"pipeline", "seed", "config", "versions"} <= set(about):
        raise ConfigError("the config.json of a run", got="another file", where=str(path))
    return about


def _read_metrics(path: Path) -> dict[str, Any]:
    if not (path / "metrics.json").exists():
        return {}
    try:
        return dict(json.loads((path / "metrics.json").read_text(encoding="utf-8")))
    except ValueError as error:
        raise SourceError("a readable metrics.json", got=str(error), where=str(path)) from None


def _write_text(path: Path, text: str) -> None:
    with AtomicFile(path) as file:
        file.write(f"{text}\n".encode())


def _remove_orphans(path: Path) -> None:
    """What a kill left half-written: temporary names, which no reader ever looks at."""
    for folder in (path, path / "artefacts"):
        for orphan in folder.glob(f"{TEMPORARY}*"):
            if orphan.is_dir() and not orphan.is_symlink():
                shutil.rmtree(orphan, ignore_errors=True)
            else:
                orphan.unlink(missing_ok=True)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
