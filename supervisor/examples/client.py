"""A client of `meetcap-supervisor serve --stdio`: transcribes one recording, cancels another, reads the result.

    python3 client.py KEEP.wav CANCEL.wav --stt demo --llm demo

Nothing but Python's own library. MEETCAP_SUPERVISOR names the program; else it is looked for in PATH.
"""

import argparse
import itertools
import json
import os
import subprocess

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("keep")
parser.add_argument("cancel")
parser.add_argument("--stt", default="demo")
parser.add_argument("--llm", default="demo")
options = parser.parse_args()

program = os.environ.get("MEETCAP_SUPERVISOR", "meetcap-supervisor")
server = subprocess.Popen([program, "serve", "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
numbers = itertools.count(1)
waiting = []  # events that came while an answer was awaited


def receive():
    line = server.stdout.readline()
    if not line:
        raise SystemExit("the server has ended")
    return json.loads(line)


def call(method, **params):
    number = next(numbers)
    server.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n")
    server.stdin.flush()
    while (message := receive()).get("id") != number:
        waiting.append(message["params"])
    if "error" in message:
        raise SystemExit(f"{method}: {message['error']['message']}")
    return message["result"]


def submit(path):
    models = {"stt": options.stt, "llm": options.llm}
    return call("job/submit", audio_path=os.path.abspath(path), **models)["job_id"]


print("server", call("initialize", client={"name": "client.py"})["server_version"])
jobs = {submit(path): os.path.basename(path) for path in (options.keep, options.cancel)}
last = max(jobs)
ended = {}
while len(ended) < len(jobs):
    event = waiting.pop(0) if waiting else receive()["params"]
    name = jobs[event["job_id"]]
    if event["event"] == "progress" and event["total"]:
        print(f"{name}: {event['phase']} {100 * event['done'] / event['total']:.0f} %")
    elif event["event"] == "segment" and event["job_id"] == last:
        call("job/cancel", job_id=last)
    elif event["event"] == "run_finished":
        ended[event["job_id"]] = event
        print(f"{name}: {event['outcome']}")

for path in ended[min(jobs)]["outputs"]:
    if path.endswith(".transcript.json"):
        with open(path, encoding="utf-8") as file:
            print("transcript:", " ".join(segment["text"] for segment in json.load(file)["segments"]))
call("shutdown")
raise SystemExit(server.wait())
