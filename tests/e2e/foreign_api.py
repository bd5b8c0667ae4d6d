#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
An API server that is not Skep's, for data_plane_only.sh: in front of Skep's, it knows no skep.io, as Kubernetes knows
none, and its objects have fields that a later version might have.
  foreign_api.py ADDRESS PORT SERVER CA-FILE
"""
import http.client
import json
import ssl
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

address, port, server, ca = sys.argv[1:]
behind = urllib.parse.urlsplit(server)
tls = ssl.create_default_context(cafile=ca)


def later(obj):
    for part in ("metadata", "spec", "status"):
        if isinstance(obj.get(part), dict):
            obj[part]["ofALaterVersion"] = {"a": [1, {"b": None}]}
    return obj


class Handler(BaseHTTPRequestHandler):
    def forward(self):
        if self.path.startswith("/apis/skep.io"):
            self.answer(404, "text/plain; charset=utf-8", b"404 page not found\n")
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {k: v for k, v in self.headers.items() if k.lower() in ("authorization", "accept", "content-type")}
        c = http.client.HTTPSConnection(behind.hostname, behind.port, context=tls)
        c.request(self.command, self.path, body, headers)
        r = c.getresponse()
        kind = r.getheader("Content-Type", "application/json")
        if "watch=true" not in self.path or r.status != 200:
            text = r.read()
            if r.status == 200:
                obj = json.loads(text)
                text = json.dumps({**obj, "items": [later(o) for o in obj["items"]]} if "items" in obj else later(obj)).encode()
            self.answer(r.status, kind, text)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        for line in r:
            event = json.loads(line)
            self.wfile.write(json.dumps({**event, "object": later(event["object"])}).encode() + b"\n")
            self.wfile.flush()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = forward

    def answer(self, status, kind, text):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer((address, int(port)), Handler).serve_forever()
