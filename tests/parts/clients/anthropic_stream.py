"""Streams a message with what `ccproxy env` printed; says what came and over how long."""
import json
import time

import anthropic

client = anthropic.Anthropic()  # ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY
ask = dict(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
whole = client.messages.create(**ask).content[0].text
events, words, times = [], [], []
with client.messages.stream(**ask) as stream:
    for event in stream:
        events.append(event.type)
        if event.type == "text":
            words.append(event.text)
            times.append(time.monotonic())
gaps = [round((later - earlier) * 1000) for earlier, later in zip(times, times[1:])]
print(json.dumps({"whole": whole, "words": words, "gaps_ms": gaps, "last": events[-1]}))
