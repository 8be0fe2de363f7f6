"""Make a picture on a running server and save it: ``python examples/client.py "a red apple" apple.png``."""

import sys

from sdrest.client import Client, Progress


def show(progress: Progress) -> None:
    print(f"\r{progress.stage:8} {progress.percent:5.1f} %", end="", flush=True)


def main(prompt: str = "a red apple", target: str = "out.png", url: str = "http://127.0.0.1:8080") -> None:
    with Client(url) as client:
        job = client.wait(client.submit("text2img", prompt=prompt, batch_count=2), on_progress=show)
        print()
        for file in client.save(job, target):
            print(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
