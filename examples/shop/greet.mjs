// The same cloud, another language.
export const handler = async (event) => {
  console.log("greeting", event.name);
  return { greeting: `Hello, ${event.name}, from Node ${process.versions.node}` };
};
