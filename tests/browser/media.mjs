// SPDX-License-Identifier: MIT

// A real browser plays a sound that porthole::files() serves, and seeks in it, for which it asks
// for ranges. Then the same page with the same sound from a program that answers no ranges, where
// seeking must not work: a test that cannot fail shows nothing.
//
//     node media.mjs SERVER-PROGRAM BROWSER DIRECTORY
//
// DIRECTORY holds node_modules.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

const [program, browserPath, directory] = process.argv.slice(2);
const { chromium } = createRequire(path.join(directory, 'media.js'))('playwright-core');

const SECONDS = 60;
const SEEK_TO = 45;
const RATE = 48_000;
const BYTES_PER_SECOND = RATE * 2 * 2; // two channels of two bytes
const HEAD_BYTES = 44;

let passed = 0;
let failed = 0;
function check(holds, name, detail = '') {
    if (holds) {
        ++passed;
        console.log(`ok ${name}`);
    } else {
        ++failed;
        console.log(`FAIL ${name} ${typeof detail === 'string' ? detail : JSON.stringify(detail)}`);
    }
}

/** A minute of a quiet tone, too large for the browser to fetch it all before it is needed. */
function makeSound() {
    const contentBytes = SECONDS * BYTES_PER_SECOND;
    const wave = Buffer.alloc(HEAD_BYTES + contentBytes);
    wave.write('RIFF', 0);
    wave.writeUInt32LE(wave.length - 8, 4);
    wave.write('WAVEfmt ', 8);
    wave.writeUInt32LE(16, 16); // bytes of this chunk
    wave.writeUInt16LE(1, 20); // PCM
    wave.writeUInt16LE(2, 22); // channels
    wave.writeUInt32LE(RATE, 24);
    wave.writeUInt32LE(BYTES_PER_SECOND, 28);
    wave.writeUInt16LE(4, 32); // bytes of a sample in all channels
    wave.writeUInt16LE(16, 34); // bits of a sample
    wave.write('data', 36);
    wave.writeUInt32LE(contentBytes, 40);
    for (let at = HEAD_BYTES, i = 0; at < wave.length; at += 4, ++i) {
        const value = Math.round(1000 * Math.sin(2 * Math.PI * 440 * i / RATE));
        wave.writeInt16LE(value, at);
        wave.writeInt16LE(value, at + 2);
    }
    return wave;
}

/** The program, on a port of its own choice. */
async function startProgram(root, mode) {
    const child = spawn(program, [root, mode], { stdio: ['ignore', 'pipe', 'inherit'] });
    process.on('exit', () => child.kill());
    const [line] = await once(child.stdout, 'data');
    return { child, port: Number(line.toString().trim()) };
}

/** What the browser asked for, and how it was answered. */
async function answersOf(port) {
    const response = await fetch(`http://127.0.0.1:${port}/answers`);
    return response.json();
}

/** Runs in the page: plays, seeks, plays on; says how far each step came. */
async function playAndSeek(seekTo) {
    const player = document.getElementById('player');
    const patience = 10_000;
    const comesTrue = async (holds) => {
        const end = performance.now() + patience;
        while (!holds() && player.error === null && performance.now() < end) {
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
        return holds();
    };
    const saw = {};
    saw.metadata = await comesTrue(() => player.readyState >= HTMLMediaElement.HAVE_METADATA);
    saw.duration = player.duration;
    await player.play();
    saw.plays = await comesTrue(() => player.currentTime > 0.2);
    saw.seekable = player.seekable.length > 0 ? player.seekable.end(0) : 0;
    if (saw.seekable >= seekTo) {
        player.currentTime = seekTo;
        saw.seeks = await comesTrue(() => !player.seeking && player.currentTime >= seekTo);
        const landed = player.currentTime;
        saw.landed = landed;
        saw.playsOn = await comesTrue(() => player.currentTime > landed + 0.5);
        saw.isPaused = player.paused;
        player.currentTime = 1;
        saw.seeksBack = await comesTrue(
            () => !player.seeking && player.currentTime > 1.2 && player.currentTime < seekTo);
    }
    saw.error = player.error === null ? '' : player.error.message;
    player.pause();
    return saw;
}

async function usePlayer(context, port) {
    const page = await context.newPage();
    await page.goto(`http://localhost:${port}/player`);
    const saw = await page.evaluate(playAndSeek, SEEK_TO);
    await page.close();
    return { saw, answers: await answersOf(port) };
}

/** The first byte that a Range field asks for. */
function firstByte(range) {
    return Number(/^bytes=(\d+)-\d*$/.exec(range)?.[1] ?? 0);
}

function checkFiles({ saw, answers }) {
    check(saw.metadata && Math.abs(saw.duration - SECONDS) < 0.1,
        'the browser knows how long the sound lasts', saw);
    check(saw.plays, 'the sound plays', saw);
    check(Math.abs(saw.seekable - SECONDS) < 0.1, 'all of the sound can be sought', saw);
    check(saw.seeks && saw.landed < SEEK_TO + 5, `seeking to ${SEEK_TO} s arrives there`, saw);
    check(saw.playsOn && !saw.isPaused, 'the sound plays on from there', saw);
    check(saw.seeksBack, 'seeking back plays on as well', saw);
    check(saw.error === '', 'the player reports no error', saw);
    const ranges = answers.filter(({ range }) => range !== '');
    check(ranges.length >= 2, 'the browser asks for ranges', answers);
    check(ranges.every(({ status }) => status === 206), 'each range is answered 206', answers);
    // Somewhat before the place itself: it may start at a block's edge.
    const near = HEAD_BYTES + (SEEK_TO - 5) * BYTES_PER_SECOND;
    check(ranges.some(({ range }) => firstByte(range) >= near),
        'one of them begins where it was sought', answers);
}

function checkPlain({ saw, answers }) {
    check(saw.plays, 'without ranges: the sound plays', saw);
    check(saw.seekable < SEEK_TO, 'without ranges: it cannot be sought', saw);
    check(answers.every(({ status }) => status === 200), 'without ranges: all is 200', answers);
}

async function withProgram(context, root, mode, checkAnswers) {
    const { child, port } = await startProgram(root, mode);
    try {
        checkAnswers(await usePlayer(context, port));
    } finally {
        child.kill();
    }
}

const deadline = setTimeout(() => {
    console.log('FAIL the media test takes too long');
    console.log(`${passed} passed, ${failed + 1} failed`);
    process.exit(1);
}, 120_000);
const scratch = mkdtempSync(path.join(tmpdir(), 'porthole-media-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
writeFileSync(path.join(scratch, 'sound.wav'), makeSound());
const context = await chromium.launchPersistentContext(path.join(scratch, 'profile'), {
    executablePath: browserPath,
    headless: true,
    chromiumSandbox: false,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync',
        '--autoplay-policy=no-user-gesture-required', '--mute-audio'],
});
try {
    console.log(`# ${context.browser()?.version() ?? 'browser'}`);
    await withProgram(context, scratch, 'files', checkFiles);
    await withProgram(context, scratch, 'plain', checkPlain);
} catch (error) {
    check(false, 'the test runs to its end', String(error.stack ?? error));
} finally {
    clearTimeout(deadline);
    await context.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
