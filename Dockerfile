# The README's own commands on a bare machine: docker build -t digit-recognizer . && docker run -it digit-recognizer make status DEMO=1
FROM python:3.13-slim
RUN apt-get update && apt-get install --yes --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
WORKDIR /digit-recognizer
COPY . .
RUN make demo
CMD ["make"]
