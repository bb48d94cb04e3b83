"""The whole local stack of one data folder: servers, jobs, services and the built-in plan."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event

from deploy.local.data_folder import DataFolder
from deploy.local.places import jars_path
from deploy.local.plan import publish_built_in_plan
from deploy.local.progress import Progress
from deploy.local.servers import plan_servers
from deploy.local.services import plan_application
from deploy.local.stack import Stack


@contextmanager
def whole_stack(
    data: DataFolder, *, environment: Mapping[str, str], with_plan: bool, progress: Progress, stopping: Event
) -> Iterator[Stack]:
    """Runs everything that `firstvalue up` runs; raises AlreadyRunning when the folder is in use."""
    with data.locked() as lock:
        servers = plan_servers(data, jars=jars_path(), environment=environment, progress=progress)
        application = plan_application(data, servers, environment=environment)
        addresses = {service.name: service.addresses for service in application.services}

        def publish() -> None:
            if publish_built_in_plan(addresses["engine"]["url"], admin_key=application.admin_key):
                progress.say("built-in plan b2b-saas published")

        stack = Stack(
            data=data,
            lock=lock,
            servers=servers.parts,
            jobs=application.jobs,
            services=application.services,
            after_start=publish if with_plan else None,
            connection=addresses | servers.connection | {"admin_key": application.admin_key},
            progress=progress,
            stopping=stopping,
        )
        with stack:
            yield stack
