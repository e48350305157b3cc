// Streams a chat completion with what `ccproxy env` printed; says what came and over how long.
import OpenAI from "openai";

const client = new OpenAI(); // OPENAI_BASE_URL and OPENAI_API_KEY
const messages = [{ role: "user", content: "hi" }];
const whole = (await client.chat.completions.create({ model: "m", messages })).choices[0].message.content;
const words = [];
const times = [];
for await (const chunk of await client.chat.completions.create({ model: "m", messages, stream: true })) {
  words.push(chunk.choices[0].delta.content);
  times.push(performance.now());
}
const gaps = times.slice(1).map((later, at) => Math.round(later - times[at]));
console.log(JSON.stringify({ whole, words, gaps_ms: gaps }));
