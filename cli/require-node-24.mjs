// Refuses a Node older than 24 in one sentence; plain JavaScript, because an older Node cannot read TypeScript.
const [major] = process.versions.node.split('.');

if (Number(major) < 24) {
  console.error(
    `Triplicate needs Node 24 and this is Node ${process.versions.node}: run \`npm ci\` and then the npm script ` +
      '(npm start, npm test), which uses the Node 24 in node_modules/.bin.',
  );
  process.exit(1);
}
