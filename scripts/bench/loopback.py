"""The least that a copy over the network costs: a file through one TCP connection of this machine.

    loopback.py SOURCE TARGET       one thread sends by sendfile, one receives, writes and fsyncs
"""

import os
import socket
import sys
import threading

PIECE = 1 << 20


def send(server, path):
    connection, _ = server.accept()
    with connection, open(path, "rb") as source:
        connection.sendfile(source)


def main():
    source, target = sys.argv[1:]
    server = socket.create_server(("127.0.0.1", 0))
    sender = threading.Thread(target=send, args=(server, source))
    sender.start()
    piece = bytearray(PIECE)
    view = memoryview(piece)
    with socket.create_connection(server.getsockname()) as connection, open(target, "wb") as file:
        while (count := connection.recv_into(piece)) > 0:
            file.write(view[:count])
        file.flush()
        os.fsync(file.fileno())
    sender.join()


main()
