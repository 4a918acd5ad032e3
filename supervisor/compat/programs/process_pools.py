"""multiprocessing: pools, queues, a manager, locks, and memory that processes share."""

import multiprocessing
from multiprocessing import shared_memory


def square(number):
    return number * number


def fill(name, lock, counter):
    memory = shared_memory.SharedMemory(name=name)
    with lock:
        memory.buf[counter.value] = 7
        counter.value += 1
    memory.close()


def main():
    with multiprocessing.Pool(3) as pool:
        squares = pool.map(square, range(10))
    with multiprocessing.Manager() as manager:
        shared = manager.dict(a=1)
        shared["b"] = manager.list([1, 2])[1]
        managed = dict(shared)
    memory = shared_memory.SharedMemory(create=True, size=4096)
    lock, counter = multiprocessing.Lock(), multiprocessing.Value("i", 0)
    processes = [multiprocessing.Process(target=fill, args=(memory.name, lock, counter)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    filled = bytes(memory.buf[:4]).hex()
    memory.close()
    memory.unlink()
    queue = multiprocessing.SimpleQueue()
    queue.put("through a pipe")
    return {"squares": squares, "managed": managed, "filled": filled, "queue": queue.get()}
