# The first lines of a worker, given with `python3 -c`: they read the rest from standard input, which is a socket.
import sys

# The working folder holds data, not programs.
sys.path[:] = [folder for folder in sys.path if folder]
import json, os, signal, socket, struct, types

# The host decides when a worker ends: by its end of the socket, whatever else happens to a terminal or a job.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, signal.SIG_IGN)
link = socket.socket(fileno=os.dup(0))
nothing = os.open(os.devnull, os.O_RDONLY)
os.dup2(nothing, 0)
os.close(nothing)


def received(n):
    parts = []
    while n:
        part = link.recv(min(n, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def read():
    n, n_bytes = struct.unpack("<II", received(8))
    return json.loads(received(n)), received(n_bytes)


def write(answer, content=b""):
    text = json.dumps(answer, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    link.sendall(struct.pack("<II", len(text), len(content)) + text + content)


_, descriptors, _, _ = socket.recv_fds(link, 1, 2)
start, _ = read()
try:
    import numpy
except ImportError as error:
    version = ".".join(map(str, sys.version_info[:3]))
    write({"error": {"code": 1, "message": f"the Python at {sys.executable} ({version}) has no NumPy: {error}\nhint: run "
                     f"`{sys.executable} -m pip install numpy`, or name an interpreter that has it in MEDCOSS_PYTHON"}})
    os._exit(0)
for name, source in start["own"]:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name + ".py", "exec"), module.__dict__)
sys.modules["medcoss_worker"].serve(start, descriptors, read, write)
