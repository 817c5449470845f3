"""A source for ansible-rulebook: the events of a file, one JSON object a line, as fast as they are taken."""

import asyncio
import json


async def main(queue: asyncio.Queue, args: dict) -> None:
    with open(args["file"], encoding="utf-8") as events:
        for number, line in enumerate(events):
            await queue.put(json.loads(line))
            if number % 100 == 99:
                # Lets the engine come to its turn.
                await asyncio.sleep(0)
