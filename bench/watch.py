"""A training that is shown in a browser, and a stand-in for the browser: what does being watched cost?

    python3 bench/watch.py [--nobody] splat train DATA -o OUT --view --no-open ...

Runs the command and asks for what the page of `splat train --view` asks for: progress.json every half second, and with each new
revision the scene, the picture and the curves. With --nobody it only waits. Ends as the training does.
"""

import json
import subprocess
import sys
import threading
import time
import urllib.request

arguments = sys.argv[1:]
watching = arguments[0] != "--nobody"
training = subprocess.Popen(arguments if watching else arguments[1:], stderr=subprocess.PIPE, text=True)
address = None
for line in training.stderr:
    found = [word for word in line.split() if word.startswith("http://")]
    if found:
        address = found[0].rstrip("/,.")
        break
if address is None:
    sys.exit(f"no address was printed; the training ended with {training.wait()}")
# A full pipe would stop the training.
threading.Thread(target=training.stderr.read, daemon=True).start()


def get(name):
    with urllib.request.urlopen(f"{address}/{name}", timeout=30) as answer:
        return answer.read()


seen = requests = received = 0
while watching and training.poll() is None:
    try:
        now = json.loads(get("progress.json"))
        if now["revision"] > seen:
            seen = now["revision"]
            names = [now["scene"], "curves.svg"] + (["held_out.jpg"] if now["picture"] else [])
            received += sum(len(get(name)) for name in names)
            requests += 1
            continue
    except OSError:
        pass
    time.sleep(0.5)
print(f"{requests} scenes, {received / 1e6:.1f} MB")
sys.exit(training.wait())
