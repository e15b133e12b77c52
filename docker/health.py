"""The container's health check: 0 while every source is live, as the service itself says at /health; else 1."""

import sys
import urllib.error
import urllib.request
from pathlib import Path

TOKEN = Path("/run/secrets/metrics_token")
URL = "http://127.0.0.1:9464/health"


def main() -> int:
    headers = {"Authorization": f"Bearer {TOKEN.read_text(encoding='utf-8').strip()}"} if TOKEN.is_file() else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(URL, headers=headers), timeout=4) as answer:
            return 0 if answer.status == 200 else 1
    except (OSError, urllib.error.URLError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
