// Runs the network in a worker thread, so that drawing stays smooth: pixels in, probabilities out.

import * as ort from "./ort.js";

ort.env.wasm.numThreads = 1;  // more threads need headers that static hosts don't send
const session = ort.InferenceSession.create("model.onnx");
session.then(() => postMessage({ready: true}), (error) => postMessage({error: String(error)}));

onmessage = async ({data: {pixels, side}}) => {
  try {
    const network = await session;
    const answer = await network.run({[network.inputNames[0]]: new ort.Tensor("float32", pixels, [1, side, side, 1])});
    postMessage({probabilities: answer[network.outputNames[0]].data});
  } catch (error) {
    postMessage({error: String(error)});
  }
};
