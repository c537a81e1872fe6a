// @google/genai through a typed turn, a spoken turn, a tool call and a resume.
// Run: npm install @google/genai; GOOGLE_GEMINI_BASE_URL=... GOOGLE_API_KEY=any node google_genai.mjs MODEL
// with the simulator at that address (plain http will do).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
const require = createRequire(`${process.cwd()}/`);
const { GoogleGenAI } = await import(pathToFileURL(require.resolve('@google/genai')).href);

const model = process.argv[2] ?? 'gemini-3.8-live';
const baseUrl = process.env.GOOGLE_GEMINI_BASE_URL;
const ai = new GoogleGenAI({ apiKey: process.env.GOOGLE_API_KEY ?? 'any', httpOptions: { baseUrl, apiVersion: 'v1beta' } });
const results = {};
let handle = '';

async function open(resume) {
  const queue = [];
  let wake = () => {};
  const session = await ai.live.connect({
    model,
    config: {
      responseModalities: ['AUDIO'], outputAudioTranscription: {}, inputAudioTranscription: {},
      sessionResumption: resume ? { handle: resume } : {},
      tools: [{ functionDeclarations: [{ name: 'get_weather', behavior: 'BLOCKING' }] }],
    },
    callbacks: {
      onmessage: (message) => {
        handle = message.sessionResumptionUpdate?.newHandle || handle; // it may come after the turn
        queue.push(message);
        wake();
      },
      onclose: (event) => { queue.push({ closed: `${event.code} ${event.reason}` }); wake(); },
      onerror: (event) => { queue.push({ closed: event.message }); wake(); },
    },
  });
  const turn = async () => {
    let words = '';
    for (;;) {
      while (!queue.length) await new Promise((resolve, reject) => { wake = resolve; setTimeout(() => reject(new Error('timeout')), 30000); });
      const message = queue.shift();
      if (message.closed) return `closed: ${message.closed}`;
      words += message.serverContent?.outputTranscription?.text ?? '';
      for (const call of message.toolCall?.functionCalls ?? [])
        session.sendToolResponse({ functionResponses: [{ id: call.id, name: call.name, response: { output: '4 C' } }] });
      if (message.serverContent?.turnComplete) return words.trim();
    }
  };
  return { session, turn };
}

let { session, turn } = await open('');
session.sendClientContent({ turns: [{ role: 'user', parts: [{ text: 'My tree is a birch' }] }], turnComplete: true });
results.typed = await turn();
const pcm = readFileSync(0);
for (let at = 0; at < pcm.length; at += 640)
  session.sendRealtimeInput({ audio: { data: pcm.subarray(at, at + 640).toString('base64'), mimeType: 'audio/pcm;rate=16000' } });
results.spoken = await turn();
session.sendRealtimeInput({ text: 'call get_weather()' });
results.call = await turn();
await new Promise((resolve) => setTimeout(resolve, 1200));
session.close(); // and at once, without waiting for it:
({ session, turn } = await open(handle));
session.sendRealtimeInput({ text: 'what did I say before?' });
const before = await turn();
results.resume = before === 'You said: call get_weather()' ? 'yes' : `NO: ${before}`;
session.close();
console.log('@google/genai', model, JSON.stringify(results));
process.exit(0);
