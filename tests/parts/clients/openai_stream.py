"""Streams a chat completion with what `ccproxy env` printed, and fails unless the chunks come one by one."""
import time

import openai

client = openai.OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY
assert client.chat.completions.create(model="m", messages=[]).choices[0].message.content == "Hello!"
words, times = [], []
for chunk in client.chat.completions.create(model="m", messages=[], stream=True):
    words.append(chunk.choices[0].delta.content)
    times.append(time.monotonic())
assert words == ["Hel", "lo", "!"], words
assert times[-1] - times[0] > 0.2, "the stream was buffered"
print("openai", "".join(words))
