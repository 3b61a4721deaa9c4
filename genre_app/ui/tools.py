"""The MCP server of the page: that of gradio, whose tools could take no list of files and kept the files of a call for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gradio import mcp
from gradio.utils import get_upload_folder


class ToolServer(mcp.GradioMCPServer):
    """Serves the endpoints as tools of language models."""

    def simplify_filedata_schema(self, schema: dict[str, Any]) -> tuple[dict[str, Any], list[list[str | int]]]:
        """Return the schema of a tool's arguments, and where files are in it.

        gradio leaves references in the schema of a list of files. They lead nowhere, so each call failed.
        """
        simple, places = super().simplify_filedata_schema(schema)
        for parameter in simple["properties"].values():
            parameter.pop("$defs", None)
            parameter.get("items", {}).pop("$ref", None)
        return simple, places

    def convert_strings_to_filedata(self, value: dict[str, Any], filedata_positions: list[list[str | int]]) -> Any:
        """Return the arguments of a call with files in place of addresses and base64; gradio will delete them as uploads."""
        in_lists = [[name, at] for name, *rest in filedata_positions if rest == ["items"] for at in range(len(value[name]))]
        found = super().convert_strings_to_filedata(value, [*filedata_positions, *in_lists])
        for part in found.values():
            for file in part if isinstance(part, list) else [part]:
                if isinstance(file, dict) and Path(file["path"]).is_relative_to(get_upload_folder()):
                    self.blocks.upload_file_set.add(file["path"])
        return found


def use_tool_server() -> None:
    """Let gradio start a `ToolServer`, which keeps files where uploads are; call it before the page is served."""
    mcp.GradioMCPServer = ToolServer
    mcp.DEFAULT_TEMP_DIR = get_upload_folder()
