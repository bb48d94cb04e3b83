"""The whole local stack of one data folder: servers, jobs, services, the built-in plan, Prometheus."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from threading import Event

from deploy.local.data_folder import DataFolder
from deploy.local.places import jars_path
from deploy.local.plan import publish_built_in_plan
from deploy.local.progress import Progress
from deploy.local.prometheus import plan_prometheus
from deploy.local.running import Extra
from deploy.local.servers import plan_servers
from deploy.local.services import plan_application
from deploy.local.stack import Part, Stack


@contextmanager
def whole_stack(
    data: DataFolder,
    *,
    environment: Mapping[str, str],
    extras: Collection[Extra] = (),
    progress: Progress,
    stopping: Event,
) -> Iterator[Stack]:
    """Runs everything that `firstvalue up` runs.

    Raises AlreadyRunning when the folder is in use, and StackError before anything starts when Prometheus is missing.
    """
    with data.locked() as lock:
        servers = plan_servers(data, jars=jars_path(), environment=environment, progress=progress)
        application = plan_application(data, servers, environment=environment)
        addresses = {service.name: service.addresses for service in application.services}
        services: list[Part] = list(application.services)
        if "observability" in extras:
            prometheus = plan_prometheus(data, application.services, environment=environment)
            services.append(prometheus)
            addresses[prometheus.name] = prometheus.addresses

        def publish() -> None:
            if publish_built_in_plan(addresses["engine"]["url"], admin_key=application.admin_key):
                progress.say("built-in plan b2b-saas published")

        stack = Stack(
            data=data,
            lock=lock,
            servers=servers.parts,
            jobs=application.jobs,
            services=services,
            after_start=publish if "plan" in extras else None,
            connection=addresses | servers.connection | {"admin_key": application.admin_key},
            progress=progress,
            stopping=stopping,
        )
        with stack:
            yield stack
