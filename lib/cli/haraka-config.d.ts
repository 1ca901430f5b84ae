// What we use of haraka-config, which has no types of its own.
declare module 'haraka-config' {
  interface Config {
    get(name: string, type?: 'ini' | 'list' | 'value' | 'data'): unknown
    get(name: string, options: { readonly booleans: readonly string[] }): unknown
    stop_watching(name: string): void
  }
  export function module_config(defaultsPath: string, overridesPath?: string): Config
}
