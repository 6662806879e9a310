"""Handlers: every address of the Workbench, in one table."""

from __future__ import annotations

from aiohttp import web

from . import changing, looking

ROUTES = [
    web.get("/", looking.page),
    web.get("/api/about", looking.about),
    web.get("/api/ready", looking.ready),
    web.get("/api/folder", looking.folder),
    web.get("/api/resolve", looking.resolve),
    web.get("/api/search", looking.search),
    web.get("/api/file", looking.file),
    web.get("/api/picture", looking.picture),
    web.get("/api/zip", looking.archive),
    web.post("/api/make", changing.make),
    web.post("/api/rename", changing.rename),
    web.post("/api/move", changing.move),
    web.post("/api/copy", changing.copy),
    web.post("/api/delete", changing.delete),
    web.get("/api/trash", looking.trash_look),
    web.post("/api/trash/restore", changing.trash_restore),
    web.post("/api/trash/empty", changing.trash_empty),
    web.get("/api/upload", changing.upload_begin),
    web.put("/api/upload", changing.upload_piece),
    web.post("/api/upload", changing.upload_finish),
    web.delete("/api/upload", changing.upload_cancel),
    web.delete("/api/uploads", changing.upload_forget),
    web.get("/api/text", looking.text_read),
    web.get("/api/text/stamp", looking.text_stamp),
    web.put("/api/text", changing.text_save),
    web.get("/api/access", looking.access_look),
    web.post("/api/access", changing.access_change),
]
