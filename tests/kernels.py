"""A plain script's Jupyter client: start a kernel, run code over its WebSocket, give back what it printed."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass
class Kernel:
    """One kernel behind `base` (ends in `/`), reached with `headers`."""

    http: aiohttp.ClientSession
    base: str
    headers: dict[str, str]
    id: str

    @classmethod
    async def start(cls, http: aiohttp.ClientSession, base: str, headers: dict[str, str], name: str = "") -> Kernel:
        """Start a kernel (the default one, or the kernel spec `name`)."""
        body = {"name": name} if name else {}
        async with http.post(f"{base}api/kernels", json=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == 201, f"{answer.status} {text[:500]}"
            return cls(http, base, headers, json.loads(text)["id"])

    async def run(self, code: str, timeout: float = 60) -> str:
        """Run `code` and return what it printed or its last value; raises AssertionError with the kernel's error."""
        async with asyncio.timeout(timeout):
            url = f"{self.base}api/kernels/{self.id}/channels?session_id={uuid.uuid4().hex}"
            async with self.http.ws_connect(url, headers=self.headers, max_msg_size=0) as socket:
                message = request(code)
                await socket.send_str(json.dumps(message))
                return await self._output(socket, message["header"]["msg_id"])

    async def _output(self, socket: aiohttp.ClientWebSocketResponse, asked: str) -> str:
        output: list[str] = []
        async for frame in socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            message = json.loads(frame.data)
            if message["parent_header"].get("msg_id") != asked:
                continue
            content, kind = message["content"], message["header"]["msg_type"]
            if kind == "stream":
                output.append(content["text"])
            elif kind in ("execute_result", "display_data"):
                output.append(content["data"].get("text/plain", ""))
            elif kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                return "".join(output)
        raise AssertionError(f"the WebSocket closed with {socket.close_code} before the kernel was idle")


def request(code: str) -> dict[str, Any]:
    """An `execute_request` of the Jupyter messaging protocol 5.3, as JSON over the WebSocket."""
    header = {
        "msg_id": uuid.uuid4().hex,
        "username": "",
        "session": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "version": "5.3",
    }
    content = {
        "code": code,
        "silent": False,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }
