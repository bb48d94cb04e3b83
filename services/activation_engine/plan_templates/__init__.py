"""Plans that come with Firstvalue, each with an example event stream and the transitions to expect from it."""

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

DEFAULT_TEMPLATE = "b2b-saas"
# What each is for.
TEMPLATES: Mapping[str, str] = MappingProxyType(
    {
        DEFAULT_TEMPLATE: "any business software: three segments, first output, first measured outcome",
        "smb": "small customers only: everything within 45 days, escalated after 30",
        "abm-martech": "account-based marketing: a list built and activated within 30 days",
        "api-product": "an API that developers build on: from the first key to traffic in production",
    }
)


def template_text(name: str) -> str:
    """The YAML of a built-in plan. Raises KeyError for an unknown name."""
    return _read(name, "yaml")


def example_text(name: str) -> str:
    """The YAML of a built-in plan's example stream. Raises KeyError for an unknown name."""
    return _read(name, "example.yaml")


def _read(name: str, ending: str) -> str:
    if name not in TEMPLATES:
        raise KeyError(name)
    return files(__package__).joinpath(f"{name}.{ending}").read_text(encoding="utf-8")
