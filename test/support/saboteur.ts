// A plugin of ill will for tests: does what the file config/saboteur says, to the message that comes next.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Files, Haraka } from './haraka.ts'

export type Sabotage =
  | 'none'
  | 'throw'
  | 'reject'
  | 'hang'
  | 'twice'
  | 'skip'
  | 'kill threads'
  | 'kill before opening'
  | 'kill when remembered'
  | 'kill before encrypt'
  | 'kill while staging'
  | 'kill at rename 1'
  | 'kill at rename 2'
  | 'fail at rename 1'
  | 'fail at rename 2'
  | 'kill at held 2'
  | 'fail at held 1'
  | 'fail at held 2'
  | 'kill after queueing'
  | 'send past the chain'

export function sabotage(haraka: Haraka, how: Sabotage): void {
  writeFileSync(join(haraka.directory, 'config', 'saboteur'), how)
}

/** Plain JavaScript, as an operator's own plugin would be. `victim` is the plugin whose hook is broken. */
export function saboteurFiles(victim = 'hisho/encrypt', method = 'protect_message'): Files {
  return {
    'config/saboteur': 'none',
    [`config/${victim}.timeout`]: '3\n',
    'plugins/saboteur.js': `
const fs = require('fs')
const promises = require('fs/promises')
const { rename } = promises
const { open, close } = fs
const { Worker } = require('worker_threads')
const post = Worker.prototype.postMessage
const how = () => fs.readFileSync(process.env.HARAKA + '/config/saboteur', 'utf8')
const die = () => process.kill(process.pid, 'SIGKILL')
const memories = new Set()
fs.open = (path, ...rest) => {
  const done = rest.pop()
  open(path, ...rest, (error, fd) => {
    if (!error && String(path).includes('/hisho.store/opened/')) memories.add(fd)
    done(error, fd)
  })
}
fs.close = (fd, done) =>
  close(fd, (error) => {
    if (memories.delete(fd) && how() === 'kill when remembered') die()
    if (done) done(error)
  })
exports.register = function () {
  this.register_hook('mail', 'arm')
  this.register_hook('data_post', 'before', -90)
  this.register_hook('data_post', 'before_encrypt', 90)
  this.register_hook('pre_send_trans_email', 'staging', 50)
  this.register_hook('queue_ok', 'after')
}
exports.arm = function (next, connection) {
  const victim = this.haraka_require('plugins').registered_plugins['${victim}']
  victim.__original = victim.__original || victim['${method}']
  const broken = {
    throw: () => { throw new Error('sabotage') },
    reject: async () => { throw new Error('sabotage') },
    hang: () => {},
    twice: function (next, ...rest) {
      victim.__original.call(this, (...answer) => { next(...answer); next(...answer) }, ...rest)
    },
  }
  victim['${method}'] = broken[how()] || victim.__original
  Worker.prototype.postMessage = how() === 'kill threads' ? function () { this.terminate() } : post
  let renames = 0
  let held = 0
  promises.rename = async (...args) => {
    if (String(args[0]).includes('__tmp__')) {
      renames++
      if (how() === 'kill at rename ' + renames) die()
      if (how() === 'fail at rename ' + renames) throw new Error('sabotage')
    }
    if (/hisho\\.held\\/\\d+-\\w+\\.(?:eml|json)/.test(String(args[0]))) {
      held++
      if (how() === 'kill at held ' + held) die()
      if (how() === 'fail at held ' + held) throw new Error('sabotage')
    }
    return rename(...args)
  }
  if (how() === 'skip') connection.transaction.notes.skip_plugins.push('${victim}')
  next()
}
exports.before = function (next, connection) {
  if (how() === 'kill before opening') die()
  if (how() === 'skip' && !connection.transaction.notes.skip_plugins.includes('${victim}')) connection.transaction.notes.skip_plugins.push('${victim}')
  next()
}
exports.before_encrypt = function (next, connection) {
  if (how() === 'kill before encrypt') die()
  if (how() === 'send past the chain') {
    const outbound = this.haraka_require('outbound')
    connection.transaction.message_stream.get_data({}, (data) => {
      outbound.send_email('robot@a.example', connection.transaction.rcpt_to[0].address, data.toString(), () => next(DENYSOFT, 'sent otherwise'))
    })
    return
  }
  next()
}
exports.staging = function (next) {
  if (how() === 'kill while staging') die()
  next()
}
exports.after = function (next) {
  if (how() === 'kill after queueing') die()
  next()
}
`,
  }
}
