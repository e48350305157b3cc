// Streams a message with what `ccproxy env` printed; says what came and over how long.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic(); // ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY
const asked = { model: "m", max_tokens: 9, messages: [{ role: "user", content: "hi" }] };
const whole = (await client.messages.create(asked)).content[0].text;
const words = [];
const times = [];
for await (const event of await client.messages.create({ ...asked, stream: true })) {
  if (event.type !== "content_block_delta") continue;
  words.push(event.delta.text);
  times.push(performance.now());
}
const gaps = times.slice(1).map((later, at) => Math.round(later - times[at]));
console.log(JSON.stringify({ whole, words, gaps_ms: gaps }));
