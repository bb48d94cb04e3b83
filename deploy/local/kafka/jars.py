"""Kafka's jars: downloaded once by jgo, each checked against the SHA-256 of the lock file.

`python -m deploy.local.kafka.jars` resolves jgo.toml again and writes jgo.lock.toml. jgo is imported only when there is
something to download or to resolve: it takes a fifth of a second.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from deploy.local.data_folder import exclusive
from deploy.local.errors import StackError, StopRequested

if TYPE_CHECKING:
    from jgo.env import LockedDependency
    from jgo.maven import MavenContext

_SPEC = Path(__file__).with_name("jgo.toml")
_LOCK = Path(__file__).with_name("jgo.lock.toml")
_PARALLEL_DOWNLOADS = 8


def jar_folder(folder: Path) -> Path:
    """Where the jars of this very lock file are, below the folder that several stacks share."""
    return folder / f"kafka-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]}"


def fetch_jars(folder: Path, *, stopping: Event, progress: Callable[[str], None]) -> None:
    """Fills `jar_folder(folder)` on the first call; several processes may ask at once.

    Raises StackError when a jar cannot be downloaded or is not the one that was locked.
    """
    complete = jar_folder(folder)
    if complete.exists():
        return
    from jgo.env import LockFile

    progress("downloading Kafka (44 MB, once)")
    with exclusive(folder / "lock"):
        if not complete.exists():
            partial = folder / "partial"
            partial.mkdir(exist_ok=True)
            _download(LockFile.load(_LOCK).dependencies, folder, partial, stopping=stopping, progress=progress)
            partial.rename(complete)
            shutil.rmtree(folder / "downloads", ignore_errors=True)


def _download(
    jars: list[LockedDependency], folder: Path, target: Path, *, stopping: Event, progress: Callable[[str], None]
) -> None:
    context = _context(folder / "downloads")
    with ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
        futures = [pool.submit(_fetch, context, jar, target) for jar in jars]
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                future.result()
                progress(f"downloading Kafka (44 MB, once): {count} of {len(jars)} files")
                if stopping.is_set():
                    raise StopRequested("stopped while downloading Kafka")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _fetch(context: MavenContext, jar: LockedDependency, target: Path) -> None:
    artifact = context.project(jar.groupId, jar.artifactId).at_version(jar.version).artifact(packaging=jar.packaging)
    destination = target / artifact.filename
    if destination.exists():
        return
    # What an interrupted download left has the right name and the wrong content.
    if artifact.cached_path is not None:
        artifact.cached_path.unlink(missing_ok=True)
    try:
        downloaded = artifact.resolve()
    except Exception as error:
        advice = "Check the network"
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            advice = "Name the file of your network's own certificates in REQUESTS_CA_BUNDLE"
        raise StackError(
            f"cannot download {artifact.filename}: {error}. {advice}, then run the same again: what arrived is kept"
        ) from error
    found = hashlib.sha256(downloaded.read_bytes()).hexdigest()
    if found != jar.sha256:
        downloaded.unlink()
        raise StackError(f"{artifact.filename} is not the file that was locked: SHA-256 {found}, expected {jar.sha256}")
    downloaded.rename(destination)


def _context(cache: Path) -> MavenContext:
    """Repositories of the user's own jgo settings, such as a company mirror, come before jgo's default."""
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext

    return MavenContext(repo_cache=cache, remote_repos=GlobalSettings.load().repositories or None, timeout=60)


def write_lock(cache: Path) -> None:
    """Resolves jgo.toml and writes jgo.lock.toml."""
    from jgo.env import EnvironmentBuilder, EnvironmentSpec

    builder = EnvironmentBuilder(context=_context(cache), cache_dir=cache)
    lock = builder.resolve_lockfile(EnvironmentSpec.load(_SPEC))
    lock.save(_LOCK)
    sys.stdout.write(f"{len(lock.dependencies)} files locked in {_LOCK}\n")


if __name__ == "__main__":
    write_lock(Path(".firstvalue-jars/downloads").absolute())
