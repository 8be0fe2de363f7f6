"""The Python, JavaScript and command-line examples that server A documents, run as they are.

They speak to ``localhost:8080``. So that tests may run beside anything else, the connection is led to the test's own server from
outside: by the environment of the process, never by changing a line of an example.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

from tests.needs import needs

PYTHON = """
import requests
import base64
import json

# Generate an image
response = requests.post('http://localhost:8080/api/v1/generate', json={
    'prompt': 'a beautiful landscape',
    'width': 512,
    'height': 512,
    'steps': 20
})

result = response.json()
if result['status'] == 'completed':
    # Decode and save the first image
    image_data = base64.b64decode(result['images'][0]['data'])
    with open('generated_image.png', 'wb') as f:
        f.write(image_data)
"""
JAVASCRIPT = """
async function generateImage() {
  const response = await fetch('http://localhost:8080/api/v1/generate', {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json'
    },
    body: JSON.stringify({
      prompt: 'a beautiful landscape',
      width: 512,
      height: 512,
      steps: 20
    })
  });

  const result = await response.json();
  if (result.status === 'completed') {
    // Create an image element with the generated image
    const img = document.createElement('img');
    img.src = `data:image/png;base64,${result.images[0].data}`;
    document.body.appendChild(img);
  }
}
"""
SHELL = r"""
# Generate an image
curl -X POST http://localhost:8080/api/v1/generate \
  -H "Content-Type: application/json" \
  -d '{
    "prompt": "a beautiful landscape",
    "width": 512,
    "height": 512,
    "steps": 20
  }'
"""
#: Loaded by Python before the example: connections to port 8080 go to the test's server.
PYTHON_DETOUR = """
import os, socket
_connect = socket.socket.connect
def connect(self, address):
    if isinstance(address, tuple) and address[1] == 8080:
        address = ("127.0.0.1", int(os.environ["TEST_PORT"])) if self.family == socket.AF_INET else address
    return _connect(self, address)
socket.socket.connect = connect
"""
#: The same for node, and the little of a browser's document that the example uses.
NODE_DETOUR = """
const net = require('net');
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  if (options && Number(options.port) === 8080) { options.port = Number(process.env.TEST_PORT); options.host = '127.0.0.1'; }
  return connect.apply(this, args);
};
globalThis.document = {
  createElement: (tag) => ({ tag }),
  body: { appendChild: (img) => require('fs').writeFileSync('img.txt', img.src) },
};
process.on('beforeExit', () => {});
"""

Client = TestClient[Any, Any]


async def run(command: list[str], folder: Path, **environment: str) -> str:
    """What the command prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, problem = await process.communicate()
    assert process.returncode == 0, problem.decode()
    return printed.decode()


def size_of(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.size


@pytest.mark.nightly
async def test_python(client: Client, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(PYTHON_DETOUR)
    (tmp_path / "example.py").write_text(PYTHON)
    environment = {"PYTHONPATH": str(tmp_path), "TEST_PORT": str(client.port)}
    await run([sys.executable, "example.py"], tmp_path, **environment)
    assert size_of(tmp_path / "generated_image.png") == (512, 512)


@pytest.mark.nightly
@needs("node")
async def test_javascript(client: Client, tmp_path: Path) -> None:
    (tmp_path / "detour.cjs").write_text(NODE_DETOUR)
    (tmp_path / "example.js").write_text(JAVASCRIPT + "\ngenerateImage();\n")
    await run(["node", "--require", "./detour.cjs", "example.js"], tmp_path, TEST_PORT=str(client.port))
    assert (tmp_path / "img.txt").read_text().startswith("data:image/png;base64,iVBOR")


@pytest.mark.slow
@needs("curl")
async def test_command_lines(client: Client, tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text(f'connect-to = "localhost:8080:127.0.0.1:{client.port}"\nsilent\n')
    made = json.loads(await run(["sh", "-c", SHELL], tmp_path, CURL_HOME=str(tmp_path)))
    assert made["status"] == "completed"
    assert made["images"][0]["parameters"] == made["images"][0]["parameters"] | {
        "prompt": "a beautiful landscape", "width": 512, "height": 512, "steps": 20, "batch_size": 1,
    }  # fmt: skip
    assert made["images"][0]["seed"] == made["images"][0]["parameters"]["seed"] >= 0
    command = "curl http://localhost:8080/api/v1/generate/{job_id}".replace("{job_id}", made["job_id"])
    again = json.loads(await run(["sh", "-c", command], tmp_path, CURL_HOME=str(tmp_path)))
    assert again["images"] == made["images"]
