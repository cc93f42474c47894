// SPDX-License-Identifier: MIT

// The same requests to Porthole's parser and to Node's (llhttp, strict), and what each made of
// them: which requests it saw, with method, target, fields and content, and whether it refused what
// came next. Where the two disagree, a line of explained.mjs has to say why; what nobody explains
// fails.
//
//     node compare.mjs DRIVER DIRECTORY [COUNT [SEED]]

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';

import { EXPLAINED } from './explained.mjs';
import { generate } from './generate.mjs';

const [driver, directory] = process.argv.slice(2);
const COUNT = Number(process.argv[4] ?? 4000);
const SEED = Number(process.argv[5] ?? 20_231);

/** What Porthole made of all of them. */
function askPorthole(texts) {
    const parts = [];
    for (const text of texts) {
        const bytes = Buffer.from(text, 'latin1');
        parts.push(Buffer.from(`${bytes.length}\n`), bytes);
    }
    const file = path.join(directory, 'requests.bin');
    writeFileSync(file, Buffer.concat(parts));
    const output = execFileSync(driver, [file], { maxBuffer: 1 << 30 }).toString();
    const lines = output.trim().split('\n');
    const plain = (hex) => Buffer.from(hex, 'hex').toString('latin1');
    return lines.map((line) => {
        const { requests, refusal } = JSON.parse(line);
        return {
            requests: requests.map((request) => ({
                method: plain(request.method),
                target: plain(request.target),
                body: plain(request.body),
                fields: request.fields.map(plain),
            })),
            refusal: plain(refusal).trim(),
        };
    });
}

/** A server that notes what reaches it on each connection, in the order of the connections. */
async function startNode() {
    const verdicts = new Map();
    let newest = null;
    const server = http.createServer({
        insecureHTTPParser: false, requireHostHeader: true, joinDuplicateHeaders: false,
        maxHeaderSize: 16 * 1024, keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0,
    });
    server.on('connection', (socket) => {
        newest = { socket, requests: [], refusal: '' };
        verdicts.set(socket, newest);
    });
    const note = (request, response) => {
        const body = [];
        request.on('data', (piece) => body.push(piece));
        request.on('end', () => {
            verdicts.get(request.socket).requests.push({
                method: request.method,
                target: request.url,
                body: Buffer.concat(body).toString('latin1'),
                fields: request.rawHeaders,
            });
            response.end();
        });
    };
    server.on('request', note);
    server.on('checkContinue', note);
    server.on('checkExpectation', (request, response) => {
        verdicts.get(request.socket).refusal ||= 'unknown expectation';
        response.writeHead(417).end();
    });
    server.on('clientError', (error, socket) => {
        verdicts.get(socket).refusal ||= `${error.code} ${error.reason ?? ''}`.trim();
        socket.destroy();
    });
    const address = path.join(directory, 'node.sock');
    await new Promise((resolve) => server.listen(address, resolve));
    return { server, address, verdicts };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Ends when Node has read every byte, or has closed the connection, and had time to think. */
async function askNode(node, text) {
    const bytes = Buffer.from(text, 'latin1');
    let answer = '';
    const accepted = new Promise((resolve) => node.server.once('connection', resolve));
    const client = net.connect(node.address);
    client.on('error', () => {});
    const socket = await accepted;
    const verdict = node.verdicts.get(socket);
    client.on('data', (piece) => { answer += piece.toString('latin1'); });
    client.write(bytes);
    const deadline = Date.now() + 5000;
    while (socket.bytesRead < bytes.length && !socket.destroyed && Date.now() < deadline) {
        await turn();
    }
    for (let i = 0; i < 12; ++i) {
        await turn();
    }
    // Node answers a request without Host by itself, and shows it to nobody.
    if (verdict.refusal === '' && /^HTTP\/1\.1 400 /m.test(answer)) {
        verdict.refusal = 'answered 400';
    }
    if (verdict.refusal === '' && verdict.requests.length === 0 && socket.destroyed) {
        verdict.refusal = 'closed';
    }
    client.destroy();
    socket.destroy();
    node.verdicts.delete(socket);
    return { requests: verdict.requests, refusal: verdict.refusal };
}

/** How the two differ, or nothing. */
function difference(ours, theirs) {
    const count = Math.min(ours.requests.length, theirs.requests.length);
    for (let i = 0; i < count; ++i) {
        for (const part of ['method', 'target', 'body']) {
            if (ours.requests[i][part] !== theirs.requests[i][part]) {
                return part;
            }
        }
        if (JSON.stringify(ours.requests[i].fields) !== JSON.stringify(theirs.requests[i].fields)) {
            return 'fields';
        }
    }
    if (ours.requests.length !== theirs.requests.length) {
        return 'count';
    }
    return (ours.refusal === '') === (theirs.refusal === '') ? '' : 'refusal';
}

const texts = generate(SEED, COUNT);
const began = Date.now();
const ours = askPorthole(texts);
// The same with two more line ends: what is wrong with an unfinished line shows when it is whole.
const finished = askPorthole(texts.map((text) => `${text}\r\n\r\n`));
const node = await startNode();
// One after the other: a connection has to be told from the next.
const theirs = [];
for (const text of texts) {
    theirs.push(await askNode(node, text));
}
node.server.close();

let agreed = 0;
let accepted = 0;
let failed = 0;
const counts = new Map(EXPLAINED.map((line) => [line.class, 0]));
for (let i = 0; i < texts.length; ++i) {
    const where = difference(ours[i], theirs[i]);
    if (where === '') {
        ++agreed;
        accepted += ours[i].requests.length;
        continue;
    }
    const case_ = { text: texts[i], ours: ours[i], theirs: theirs[i], finished: finished[i] };
    const line = EXPLAINED.find((each) => each.explains(case_));
    if (line) {
        counts.set(line.class, counts.get(line.class) + 1);
        continue;
    }
    ++failed;
    if (failed <= 20) {
        const text = JSON.stringify(texts[i].slice(0, 600));
        console.log(`FAIL unexplained: ${where} differs in ${text}`);
        console.log(`  Porthole: ${JSON.stringify(ours[i]).slice(0, 700)}`);
        console.log(`  Node:     ${JSON.stringify(theirs[i]).slice(0, 700)}`);
    }
}
console.log(`${texts.length} inputs, seed ${SEED}: ${agreed} agreed (${accepted} requests `
    + `understood alike), ${texts.length - agreed - failed} disagreed for a known reason:`);
for (const line of EXPLAINED) {
    console.log(`  ${String(counts.get(line.class)).padStart(5)}  ${line.stricter.padEnd(8)} `
        + `${line.class} (${line.source})`);
}
const { node: nodeVersion, llhttp } = process.versions;
console.log(`${Date.now() - began} ms, Node ${nodeVersion}, llhttp ${llhttp}`);
// Two parsers that never agree on anything understood would make this a test of nothing.
if (accepted < COUNT / 10) {
    ++failed;
    console.log('FAIL too few requests were understood at all');
}
console.log(`${texts.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
