"""What the agent costs: resident memory and processor time beside a metadata service that answers as EC2's does.

Usage: agent.py PROGRAM [SECONDS]. Aims: 15 MiB and 0.5 % of a core. The sum of what is mapped from files is the
program's own text, shared by all agents of a machine that has several."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time


class Metadata(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_PUT(self):
        self.answer(200, "TOKEN")

    def do_GET(self):
        if self.path.endswith("/document"):
            self.answer(200, json.dumps({"instanceId": "i-0abc", "region": "eu-west-1"}))
        elif self.path.endswith("/scheduled"):
            self.answer(200, "[]")
        else:
            self.answer(404, "<html></html>")


def processor(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    agent = subprocess.Popen(
        [sys.argv[1], "agent", "--metadata", url, "--url", "http://127.0.0.1:9"], stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(3)
        before = processor(agent.pid)
        time.sleep(seconds)
        share = (processor(agent.pid) - before) / seconds * 100
        wanted = {"VmRSS": "resident", "RssAnon": "of it its own", "RssFile": "of it mapped from files"}
        for line in open(f"/proc/{agent.pid}/status"):
            name, _, value = line.partition(":")
            if name in wanted:
                print(f"{wanted[name]:<24} {int(value.split()[0]) / 1024:6.1f} MiB")
        print(f"{'processor':<24} {share:6.3f} % of a core")
    finally:
        agent.kill()


main()
