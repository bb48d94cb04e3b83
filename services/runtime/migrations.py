"""Alembic for services that each own one PostgreSQL schema: `firstvalue migrate` upgrades, services only check."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command, context, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from services.runtime.postgres import driver_url

_LOCK_TIMEOUT = "5s"


class StaleSchema(Exception):
    """The database is not at the version that this code needs; the message says what to do."""


def upgrade(database_url: str, *, schema: str, folder: Path, revision: str = "head") -> None:
    """Bring `schema` to `revision`, by default the newest in `folder`; run by one job, never by a service."""
    config = _config(schema, folder)
    config.attributes["database_url"] = database_url
    command.upgrade(config, revision)


async def check_current(engine: AsyncEngine, *, schema: str, folder: Path) -> None:
    """Raise StaleSchema unless the database has the newest revision in `folder`, or one that is not there: a newer
    release has made it, which only adds to what this one knows."""
    scripts = ScriptDirectory.from_config(_config(schema, folder))
    wanted, known = scripts.get_current_head(), {script.revision for script in scripts.walk_revisions()}
    async with engine.connect() as connection:
        exists = await connection.scalar(sa.text("SELECT to_regclass(:name)"), {"name": f"{schema}.alembic_version"})
        found = None
        if exists is not None:
            found = await connection.scalar(sa.text(f'SELECT version_num FROM "{schema}".alembic_version'))  # noqa: S608 - a constant of ours
    if found is None or (found in known and found != wanted):
        raise StaleSchema(
            f"Schema {schema} is at {found or 'nothing'}, this version needs {wanted}: run `firstvalue migrate` first."
        )


def run_environment() -> None:
    """The whole of each service's `env.py`: run its revisions in its own schema, with a bound on waiting for locks."""
    schema = context.config.attributes["schema"]
    url = context.config.attributes["database_url"]

    def run(connection: sa.Connection) -> None:
        connection.execute(sa.text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
        connection.execute(sa.text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        connection.commit()
        context.configure(connection=connection, version_table_schema=schema)
        with context.begin_transaction():
            context.run_migrations()

    async def connect_and_run() -> None:
        engine = create_async_engine(driver_url(url), poolclass=NullPool)
        try:
            async with engine.connect() as connection:
                await connection.run_sync(run)
        finally:
            await engine.dispose()

    asyncio.run(connect_and_run())


@contextmanager
def concurrently() -> Iterator[None]:
    """For a revision that builds or drops indexes CONCURRENTLY, as it must on a table that services write to.

    Commits what the revisions before and this one have done: what is inside must bear being run again. It waits for
    older transactions without a bound, because nobody waits for it.
    """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        yield
        op.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")


def _config(schema: str, folder: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    config.attributes["schema"] = schema
    return config
