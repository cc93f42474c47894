import { drawPoint } from "./draw.js";

const view = document.getElementById("view").getContext("2d");
const frames = document.getElementById("frames");
const speed = document.getElementById("speed");
const state = document.getElementById("state");

speed.addEventListener("input", () => {
    fetch("/api/speed", { method: "PUT", body: speed.value }).catch(() => {});
});

async function show() {
    try {
        const game = await (await fetch("/api/game")).json();
        frames.value = game.frames;
        state.textContent = "connected";
        drawPoint(view, game);
    } catch {
        state.textContent = "the program has ended";
    }
    setTimeout(show, 50);
}

show();
