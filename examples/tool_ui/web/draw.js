// A point on its way around the view, with the trail fading behind it.
export function drawPoint(view, { x, y }) {
    const { width, height } = view.canvas;
    view.fillStyle = "rgb(10 30 45 / 10%)";
    view.fillRect(0, 0, width, height);
    view.fillStyle = "#8fd3f4";
    view.beginPath();
    view.arc(width * (0.5 + 0.35 * x), height * (0.5 + 0.35 * y), 10, 0, 2 * Math.PI);
    view.fill();
}
