"""Plans that come with Firstvalue, each with an example event stream and the transitions to expect from it."""

from importlib.resources import files

DEFAULT_TEMPLATE = "b2b-saas"
TEMPLATES = (DEFAULT_TEMPLATE,)


def template_text(name: str) -> str:
    """The YAML of a built-in plan. Raises KeyError for an unknown name."""
    if name not in TEMPLATES:
        raise KeyError(name)
    return files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
