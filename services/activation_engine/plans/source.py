"""YAML text as plain data plus the line and column of every part of it."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from services.activation_engine.plans.errors import Path, PlanError, PlanErrors, path_text

SOURCE_BYTES_MAX = 256 * 1024
_NODES_MAX = 20_000
_DEPTH_MAX = 32
_TOO_LARGE = f"the file has more than {_NODES_MAX} parts, or is nested deeper than {_DEPTH_MAX}"
_TAG = "tag:yaml.org,2002:"


class _TooLarge(MarkedYAMLError):
    """More parts than any plan has."""


class _BoundedComposer(Composer):
    """Ends before the rest is parsed: a part costs 0.03 ms, and deep nesting more."""

    _nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The node that begins here; raises _TooLarge."""
        self._nodes += 1
        if self._nodes > _NODES_MAX or self.depth > _DEPTH_MAX:
            raise _TooLarge(problem=_TOO_LARGE, problem_mark=self.parser.peek_event().start_mark)
        return super().compose_node(parent, index)


class Source:
    """One plan file: `data` as YAML 1.2 says (dates stay text), and `error` to point into it."""

    def __init__(self, text: str, file: str) -> None:
        """Raises PlanErrors when the text is not one YAML document."""
        self.file = file
        self._places: dict[Path, tuple[int, int]] = {(): (1, 1)}
        self._keys: dict[Path, tuple[int, int]] = {}
        self._nodes = 0
        root = self._compose(text)
        if root is None:
            raise PlanErrors([self.error((), "empty", "the file is empty", "start with `plan: <name>`")])
        self.data: Any = self._convert(root, ())

    def error(self, path: Path, code: str, message: str, hint: str = "", *, at_key: bool = False) -> PlanError:
        """A finding at the closest part of `path` that is in the file."""
        line, column = self._place(path, at_key=at_key)
        return PlanError(self.file, line, column, path_text(path), code, message, hint)

    def _place(self, path: Path, *, at_key: bool) -> tuple[int, int]:
        if at_key and path in self._keys:
            return self._keys[path]
        while path not in self._places:
            path = path[:-1]
        return self._places[path]

    def _compose(self, text: str) -> Node | None:
        if len(text.encode()) > SOURCE_BYTES_MAX:
            message = f"the file is larger than {SOURCE_BYTES_MAX // 1024} KiB"
            raise PlanErrors([self.error((), "too_large", message, "split it into several plans")])
        yaml = YAML(typ="safe", pure=True)
        yaml.Composer = _BoundedComposer
        try:
            return yaml.compose(text)  # type: ignore[no-any-return]
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            is_large = isinstance(error, _TooLarge)
            code, message = (
                ("too_large", _TOO_LARGE) if is_large else ("invalid_yaml", f"not valid YAML: {error.problem}")
            )
            raise PlanErrors([PlanError(self.file, line, column, "", code, message)]) from error
        except (YAMLError, RecursionError) as error:
            raise PlanErrors([self.error((), "invalid_yaml", f"not valid YAML: {error}")]) from error

    def _convert(self, node: Node, path: Path) -> Any:
        self._nodes += 1
        self._places.setdefault(path, _mark(node))
        # Aliases make a small file unfold into a huge one.
        if self._nodes > _NODES_MAX or len(path) > _DEPTH_MAX:
            raise PlanErrors([self.error(path, "too_large", _TOO_LARGE)])
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self._convert(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode) or key_node.tag == _TAG + "merge":
                raise PlanErrors([self._at(key_node, path, "wrong_key", "a key must be plain text")])
            key = str(key_node.value)
            if key in found:
                raise PlanErrors([self._at(key_node, (*path, key), "duplicate_key", f"`{key}` is written twice")])
            self._keys[(*path, key)] = _mark(key_node)
            found[key] = self._convert(value_node, (*path, key))
        return found

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        text, tag = str(node.value), str(node.tag).removeprefix(_TAG)
        try:
            match tag:
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    return int(text.replace("_", ""), 0) if text.lstrip("+-").startswith("0") else int(text)
                case "float":
                    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            return text
        if tag not in ("str", "timestamp"):
            raise PlanErrors([self._at(node, path, "wrong_type", f"the YAML tag {node.tag} has no meaning here")])
        return text

    def _at(self, node: Node, path: Path, code: str, message: str) -> PlanError:
        line, column = _mark(node)
        return PlanError(self.file, line, column, path_text(path), code, message)


def _mark(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
