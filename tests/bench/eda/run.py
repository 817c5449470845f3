"""The same events through ansible-rulebook and through Medevac's engine: rate and memory, side by side.

Usage: run.py FOLDER ANSIBLE_RULEBOOK MEDEVAC_BENCH
"""

import json
import os
import subprocess
import sys
import time

EVENTS = 50_000
RULES = 20
HERE = os.path.dirname(os.path.abspath(__file__))


def write(folder):
    """The events, and the same rules for both."""
    paths = {name: os.path.join(folder, name) for name in ("events", "none", "book.yml", "inventory.yml", "rules.yaml")}
    with open(paths["events"], "w", encoding="utf-8") as out:
        for n in range(EVENTS):
            name = f"Alert{n // 10 % RULES}" if n % 10 == 0 else f"Other{n % 1000}"
            labels = {"severity": "critical", "team": f"team-{n % 7}", "gpu": str(n % 8)}
            event = {"name": name, "node": f"ip-10-0-1-{n % 500}", "labels": labels, "value": n}
            out.write(json.dumps(event) + "\n")
    open(paths["none"], "w", encoding="utf-8").close()
    with open(paths["inventory.yml"], "w", encoding="utf-8") as out:
        out.write("all: {hosts: {localhost: {ansible_connection: local}}}\n")
    with open(paths["rules.yaml"], "w", encoding="utf-8") as out:
        out.write("contacts: [{name: c, console: {}}]\nescalations: [{name: p, levels: [{contacts: c}]}]\nrules:\n")
        for n in range(RULES):
            out.write(f"  - {{name: r{n}, when: eda.event, if: 'event.name == \"Alert{n}\" && event.labels.severity == \"critical\"', escalate: p}}\n")
    return paths


def book(paths, events):
    rules = "".join(
        f"    - name: r{n}\n      condition: event.name == \"Alert{n}\" and event.labels.severity == \"critical\"\n"
        "      action: {none: {}}\n"
        for n in range(RULES)
    )
    with open(paths["book.yml"], "w", encoding="utf-8") as out:
        out.write(f"- name: bench\n  hosts: all\n  sources: [{{storm: {{file: {events}}}}}]\n  rules:\n{rules}")


def theirs(program, paths, events):
    """Seconds, and the most memory that it held, in KiB."""
    book(paths, events)
    begin = time.monotonic()
    command = [program, "--rulebook", paths["book.yml"], "-i", paths["inventory.yml"], "-S", HERE]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"ansible-rulebook failed:\n{errors[-2000:]}")
    return time.monotonic() - begin, usage.ru_maxrss


def main():
    folder, rulebook, medevac = sys.argv[1:4]
    paths = write(folder)
    idle, _ = theirs(rulebook, paths, paths["none"])
    took, memory = theirs(rulebook, paths, paths["events"])
    rate = EVENTS / max(took - idle, 1e-9)
    print(f"{EVENTS} events, {RULES} rules, one in ten matches")
    print(f"  ansible-rulebook  {rate:>10.0f} events/s  {memory / 1024:>7.1f} MiB  ({took:.1f} s, of which {idle:.1f} s are its start)")
    answer = subprocess.run([medevac, "engine", paths["events"], paths["rules.yaml"]], check=True, capture_output=True, text=True)
    ours = dict(pair.split("=") for pair in answer.stdout.split())
    own_rate, own_memory = float(ours["rate"]), int(ours["peak_kib"])
    print(f"  medevac           {own_rate:>10.0f} events/s  {own_memory / 1024:>7.1f} MiB  ({ours['decisions']} decisions)")
    print(f"  medevac has {own_rate / rate:.0f} times its rate and {own_memory / memory:.3f} of its memory")


main()
