"""Streams a chat completion with what `ccproxy env` printed; says what came and over how long."""
import json
import time

import openai

client = openai.OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY
asked = [{"role": "user", "content": "hi"}]
whole = client.chat.completions.create(model="m", messages=asked).choices[0].message.content
words, times = [], []
for chunk in client.chat.completions.create(model="m", messages=asked, stream=True):
    words.append(chunk.choices[0].delta.content)
    times.append(time.monotonic())
models = [model.id for model in client.models.list()]
gaps = [round((later - earlier) * 1000) for earlier, later in zip(times, times[1:])]
print(json.dumps({"whole": whole, "words": words, "gaps_ms": gaps, "models": models}))
