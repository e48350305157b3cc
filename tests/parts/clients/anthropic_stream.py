"""Streams a message with what `ccproxy env` printed, and fails unless the events come one by one."""
import time

import anthropic

client = anthropic.Anthropic()  # ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY
ask = dict(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
assert client.messages.create(**ask).content[0].text == "Hello!"
words, times = [], []
with client.messages.stream(**ask) as stream:
    for text in stream.text_stream:
        words.append(text)
        times.append(time.monotonic())
assert words == ["Hel", "lo"], words
assert times[-1] - times[0] > 0.1, "the stream was buffered"
print("anthropic", "".join(words))
